variable "account_id" {
  description = "The account."
  type        = string
}

variable "aws_region" {
  description = "The region everything is in."
  type        = string
}

variable "name" {
  description = "What the names of the resources begin with."
  type        = string
}

variable "topic_name" {
  description = "Name of the topic that tells people."
  type        = string
}

variable "lambda_role" {
  description = "ARN of the role that functions run as."
  type        = string
}

variable "root" {
  description = "The folder in terraform/ that is applied; it names the state."
  type        = string
}

variable "state_bucket" {
  description = "Where Terraform keeps its state."
  type        = string
}

variable "key_arn" {
  description = "The account's key, which encrypts the state."
  type        = string
}
