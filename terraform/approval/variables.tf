# The first variables are the keys of environments/registry.tfvars.json, in their order.

variable "env_group" {
  description = "Which environment this is."
  type        = string

  validation {
    condition     = var.env_group == "registry"
    error_message = "env_group: found ${var.env_group}; expected registry."
  }
}

variable "account_id" {
  description = "The registry account; any other account's credentials are refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id: found ${var.account_id}; expected an AWS account id: 12 digits."
  }
}

variable "aws_region" {
  description = "The region everything is in."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region: found ${var.aws_region}; expected an AWS region such as us-east-1."
  }
}

variable "email" {
  description = "Who approves, and is told when a version waits."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s<>]+@[^@\\s<>]+\\.[^@\\s<>]+$", var.email))
    error_message = "email: found ${var.email}; expected an e-mail address."
  }
}

variable "kms_key" {
  description = "The account's customer-managed key, by alias."
  type        = string

  validation {
    condition     = can(regex("^alias/[\\w/-]+$", var.kms_key)) && !startswith(var.kms_key, "alias/aws/")
    error_message = "kms_key: found ${var.kms_key}; expected the alias of a customer-managed key such as alias/mammo-severity."
  }
}

variable "model_artifacts_bucket" {
  description = "The central bucket of models and baselines."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.model_artifacts_bucket)) && strcontains(var.model_artifacts_bucket, "sagemaker")
    error_message = "model_artifacts_bucket: found ${var.model_artifacts_bucket}; expected a bucket name that contains 'sagemaker'."
  }
}

variable "model_package_group_name" {
  description = "The group that holds every version; what names begin with."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9](-*[A-Za-z0-9])*$", var.model_package_group_name)) && length(var.model_package_group_name) <= 48
    error_message = "model_package_group_name: found ${var.model_package_group_name}; expected letters, digits and single hyphens, 48 at most: names of 64 are made from it."
  }
}

variable "approver_role" {
  description = "The role that may approve: its name, or its ARN."
  type        = string

  validation {
    condition     = can(regex("^(arn:aws:iam::${var.account_id}:role/)?[\\w+=,.@-]+$", var.approver_role))
    error_message = "approver_role: found ${var.approver_role}; expected a role of account ${var.account_id}."
  }
}

variable "event_bus_name" {
  description = "The bus of the rules that match SageMaker's events. AWS puts those on the default bus; to any other they are forwarded."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,256}$", var.event_bus_name))
    error_message = "event_bus_name: found ${var.event_bus_name}; expected a bus's name, not its ARN."
  }
}

variable "pipelines_alert_topic_name" {
  description = "Name of the topic that tells people."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,256}$", var.pipelines_alert_topic_name))
    error_message = "pipelines_alert_topic_name: found ${var.pipelines_alert_topic_name}; expected letters, digits, hyphen and underscore."
  }
}

variable "lambda_role" {
  description = "The role of the Lambda functions: its name, or its ARN."
  type        = string

  validation {
    condition     = can(regex("^(arn:aws:iam::${var.account_id}:role/)?[\\w+=,.@-]+$", var.lambda_role))
    error_message = "lambda_role: found ${var.lambda_role}; expected a role of account ${var.account_id}."
  }
}

variable "terraform_state_bucket" {
  description = "Where Terraform's state is; part of the backend's configuration."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.terraform_state_bucket))
    error_message = "terraform_state_bucket: found ${var.terraform_state_bucket}; expected a bucket name."
  }
}

variable "jenkins_account_id" {
  description = "The account Jenkins runs in."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.jenkins_account_id))
    error_message = "jenkins_account_id: found ${var.jenkins_account_id}; expected an AWS account id: 12 digits."
  }
}

variable "jenkins_role" {
  description = "Name of the role that Jenkins assumes in every account."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9](-*[A-Za-z0-9])*$", var.jenkins_role))
    error_message = "jenkins_role: found ${var.jenkins_role}; expected a role's name."
  }
}

variable "jenkins_controller_role" {
  description = "Name of the role of the machine that Jenkins runs on."
  type        = string
}

variable "jenkins_log_group" {
  description = "Where Jenkins writes its log, in its own account."
  type        = string
}

variable "jenkins_state_bucket" {
  description = "Where Terraform keeps the state of Jenkins's account."
  type        = string
}

variable "notify_package" {
  description = "Path of the zip archive with the notify function's code, built before the plan."
  type        = string

  validation {
    condition     = fileexists(var.notify_package)
    error_message = "notify_package: found no file ${var.notify_package}; expected the notify function's zip archive."
  }
}
