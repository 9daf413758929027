# Written by `mammo-mlops accounts` from the files in environments/, names of roles completed to ARNs.

variable "environment" {
  description = "Which account this is."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "environment: found ${var.environment}; expected dev or prod."
  }
}

variable "environments" {
  description = "What the environment files say, as far as it is used here."
  type = object({
    dev = object({
      account_id                 = string
      aws_region                 = string
      pipelines_alert_topic_name = string
      lambda_role                = string
      default_bucket             = string
      terraform_state_bucket     = string
      kms_key                    = string
      model_name                 = string
      studio_role                = optional(string)
      train_pipeline             = object({ name = string, role_arn = string })
      inference_pipeline         = object({ name = string, role_arn = string })
    })
    prod = object({
      account_id                 = string
      aws_region                 = string
      pipelines_alert_topic_name = string
      lambda_role                = string
      default_bucket             = string
      terraform_state_bucket     = string
      kms_key                    = string
      model_name                 = string
      studio_role                = optional(string)
      train_pipeline             = object({ name = string, role_arn = string })
      inference_pipeline         = object({ name = string, role_arn = string })
    })
    registry = object({
      account_id               = string
      aws_region               = string
      approver_role            = string
      model_artifacts_bucket   = string
      model_package_group_name = string
      jenkins_account_id       = string
      jenkins_role             = string
      jenkins_controller_role  = string
    })
  })

  validation {
    condition     = alltrue([for name, file in var.environments : can(regex("^[0-9]{12}$", file.account_id))])
    error_message = "environments: found an account_id that is no AWS account id; expected 12 digits."
  }

  validation {
    condition     = length(distinct(concat([for name, file in var.environments : file.account_id], [var.environments.registry.jenkins_account_id]))) == 4
    error_message = "environments: found one account_id twice; expected an account of its own for dev, prod, registry and Jenkins."
  }

  validation {
    condition     = alltrue([for name in ["dev", "prod"] : strcontains(var.environments[name].default_bucket, "sagemaker")])
    error_message = "environments: found a default_bucket without 'sagemaker' in its name; expected it there, as SageMaker's own policies rely on it."
  }

  validation {
    condition = alltrue(flatten([for name in ["dev", "prod"] : [
      for role in [var.environments[name].lambda_role, var.environments[name].train_pipeline.role_arn, var.environments[name].inference_pipeline.role_arn] :
      startswith(role, "arn:aws:iam::${var.environments[name].account_id}:role/")
    ]]))
    error_message = "environments: found a role of another account; expected the ARN of a role of its own account."
  }
}
