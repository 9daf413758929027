variable "name" {
  description = "The bucket's name."
  type        = string
}

variable "key_arn" {
  description = "The key that encrypts what is put without naming another."
  type        = string
}

variable "policies" {
  description = "Policy documents, as JSON: what others may do with the bucket."
  type        = list(string)
  default     = []
}
