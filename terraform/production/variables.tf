# The first variables are the keys of environments/dev.tfvars.json and prod.tfvars.json, in their order.

variable "env_group" {
  description = "Which environment this is."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.env_group)
    error_message = "env_group: found ${var.env_group}; expected dev or prod."
  }
}

variable "account_id" {
  description = "The environment's account; any other account's credentials are refused."
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

variable "email" {
  description = "Who is told."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s<>]+@[^@\\s<>]+\\.[^@\\s<>]+$", var.email))
    error_message = "email: found ${var.email}; expected an e-mail address."
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

variable "studio_role" {
  description = "The role of data scientists' Studio, where there is one: its name, or its ARN."
  type        = string
  default     = null
}

variable "default_bucket" {
  description = "The account's bucket for data and results."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.default_bucket)) && strcontains(var.default_bucket, "sagemaker")
    error_message = "default_bucket: found ${var.default_bucket}; expected a bucket name that contains 'sagemaker'."
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

variable "kms_key" {
  description = "The account's customer-managed key, by alias."
  type        = string

  validation {
    condition     = can(regex("^alias/[\\w/-]+$", var.kms_key)) && !startswith(var.kms_key, "alias/aws/")
    error_message = "kms_key: found ${var.kms_key}; expected the alias of a customer-managed key such as alias/mammo-severity."
  }
}

variable "model_name" {
  description = "What names begin with."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9](-*[A-Za-z0-9])*$", var.model_name)) && length(var.model_name) <= 38
    error_message = "model_name: found ${var.model_name}; expected letters, digits and single hyphens, 38 at most: names of 64 are made from it."
  }
}

variable "batch_dataset_filename" {
  description = "The batch's file under data/batch-dataset/."
  type        = string

  validation {
    condition     = can(regex("^[\\w.-]+\\.csv$", var.batch_dataset_filename))
    error_message = "batch_dataset_filename: found ${var.batch_dataset_filename}; expected the name of a .csv file."
  }
}

variable "train_pipeline" {
  description = "The pipeline that trains, evaluates and registers a version. Rules start it; what it does is in its definition."
  type = object({
    name                = string
    role_arn            = string
    instance_type       = string
    instance_count      = number
    start_on_deploy     = bool
    train_datasets      = list(string)
    auc_score_threshold = number
    sensitivity_target  = number
    hyperparameters     = map(string)
    cool_down_days      = number
  })

  validation {
    condition     = can(regex("^[A-Za-z0-9](-*[A-Za-z0-9])*$", var.train_pipeline.name)) && length(var.train_pipeline.name) <= 63
    error_message = "train_pipeline.name: found ${var.train_pipeline.name}; expected letters, digits and single hyphens, 63 at most."
  }
  validation {
    condition     = can(regex("^(arn:aws:iam::${var.account_id}:role/)?[\\w+=,.@-]+$", var.train_pipeline.role_arn))
    error_message = "train_pipeline.role_arn: found ${var.train_pipeline.role_arn}; expected a role of account ${var.account_id}."
  }
  validation {
    condition     = var.train_pipeline.cool_down_days >= 0 && var.train_pipeline.cool_down_days <= 365
    error_message = "train_pipeline.cool_down_days: found ${var.train_pipeline.cool_down_days}; expected 0 to 365."
  }
}

variable "inference_pipeline" {
  description = "The pipeline that predicts a batch, when it starts (UTC) and by when predictions must be there."
  type = object({
    name              = string
    role_arn          = string
    instance_type     = string
    instance_count    = number
    start_on_deploy   = bool
    cron_schedule     = string
    deadline_schedule = string
  })

  validation {
    condition     = can(regex("^[A-Za-z0-9](-*[A-Za-z0-9])*$", var.inference_pipeline.name)) && length(var.inference_pipeline.name) <= 63
    error_message = "inference_pipeline.name: found ${var.inference_pipeline.name}; expected letters, digits and single hyphens, 63 at most."
  }
  validation {
    condition     = can(regex("^(arn:aws:iam::${var.account_id}:role/)?[\\w+=,.@-]+$", var.inference_pipeline.role_arn))
    error_message = "inference_pipeline.role_arn: found ${var.inference_pipeline.role_arn}; expected a role of account ${var.account_id}."
  }
  validation {
    condition = alltrue([
      for schedule in [var.inference_pipeline.cron_schedule, var.inference_pipeline.deadline_schedule] :
      can(regex("^rate\\((1 (minute|hour|day)|[1-9][0-9]+ (minutes|hours|days)|[2-9] (minutes|hours|days))\\)$", schedule)) ||
      can(regex("^cron\\(\\S+ \\S+ (\\? \\S+ [^?\\s]+|[^?\\s]+ \\S+ \\?) \\S+\\)$", schedule))
    ])
    error_message = "inference_pipeline: found ${var.inference_pipeline.cron_schedule} and ${var.inference_pipeline.deadline_schedule}; expected cron(minutes hours day-of-month month day-of-week year), one of the two days a ?, or rate(value unit)."
  }
}

variable "monitoring" {
  description = "How a batch is checked before anything is predicted from it."
  type = object({
    engine         = string
    on_violation   = string
    smallest_batch = number
  })

  validation {
    condition     = contains(["model_monitor", "processing"], var.monitoring.engine)
    error_message = "monitoring.engine: found ${var.monitoring.engine}; expected model_monitor or processing."
  }
  validation {
    condition     = contains(["block", "quarantine", "predict"], var.monitoring.on_violation)
    error_message = "monitoring.on_violation: found ${var.monitoring.on_violation}; expected block, quarantine or predict."
  }
}

variable "notify_package" {
  description = "Path of the zip archive with the notify function's code, built before the plan."
  type        = string

  validation {
    condition     = fileexists(var.notify_package)
    error_message = "notify_package: found no file ${var.notify_package}; expected the notify function's zip archive."
  }
}
