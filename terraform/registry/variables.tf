# Written by `mammo-mlops accounts` from the files in environments/, names of roles completed to ARNs.

variable "environments" {
  description = "What the environment files say, as far as it is used here."
  type = object({
    dev = object({
      account_id     = string
      model_name     = string
      train_pipeline = object({ role_arn = string })
    })
    prod = object({
      account_id     = string
      model_name     = string
      train_pipeline = object({ role_arn = string })
    })
    registry = object({
      account_id                 = string
      aws_region                 = string
      kms_key                    = string
      approver_role              = string
      lambda_role                = string
      model_artifacts_bucket     = string
      model_package_group_name   = string
      pipelines_alert_topic_name = string
      terraform_state_bucket     = string
      jenkins_account_id         = string
      jenkins_role               = string
      jenkins_controller_role    = string
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
    condition     = strcontains(var.environments.registry.model_artifacts_bucket, "sagemaker")
    error_message = "environments: found a model_artifacts_bucket without 'sagemaker' in its name; expected it there, as SageMaker's own policies rely on it."
  }

  validation {
    condition     = !endswith(var.environments.registry.approver_role, "/${var.environments.registry.jenkins_role}")
    error_message = "environments: found Jenkins's role as approver_role; expected a role of people."
  }
}
