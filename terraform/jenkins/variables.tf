# Written by `mammo-mlops accounts` from the files in environments/.

variable "environments" {
  description = "What the environment files say, as far as it is used here."
  type = object({
    dev  = object({ account_id = string })
    prod = object({ account_id = string })
    registry = object({
      account_id              = string
      aws_region              = string
      kms_key                 = string
      jenkins_account_id      = string
      jenkins_role            = string
      jenkins_controller_role = string
      jenkins_log_group       = string
      jenkins_state_bucket    = string
    })
  })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.environments.registry.jenkins_account_id))
    error_message = "environments: found a jenkins_account_id that is no AWS account id; expected 12 digits."
  }

  validation {
    condition     = !contains([for name, file in var.environments : file.account_id], var.environments.registry.jenkins_account_id)
    error_message = "environments: found jenkins_account_id equal to another account_id; expected an account of its own."
  }
}
