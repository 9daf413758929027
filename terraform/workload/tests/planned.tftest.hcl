# What is planned for a workload account: dev, and then prod.

# AWS is not asked: policy documents are computed by the provider itself, so that what they say can be tested.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
}

variables {
  environment = "dev"
  environments = {
    dev = {
      account_id                 = "111122223333"
      aws_region                 = "us-east-1"
      pipelines_alert_topic_name = "mammo-pipelines-alert"
      lambda_role                = "arn:aws:iam::111122223333:role/lambda-sagemaker-role"
      default_bucket             = "mammo-sagemaker-dev-111122223333"
      terraform_state_bucket     = "mammo-terraform-state-111122223333"
      kms_key                    = "alias/mammo-severity"
      model_name                 = "mammo-severity"
      studio_role                = "arn:aws:iam::111122223333:role/mammo-studio-role"
      train_pipeline             = { name = "mammo-severity-train-pipeline", role_arn = "arn:aws:iam::111122223333:role/mammo-sagemaker-execution-role" }
      inference_pipeline         = { name = "mammo-severity-inference-pipeline", role_arn = "arn:aws:iam::111122223333:role/mammo-sagemaker-execution-role" }
    }
    prod = {
      account_id                 = "444455556666"
      aws_region                 = "us-east-1"
      pipelines_alert_topic_name = "mammo-pipelines-alert"
      lambda_role                = "arn:aws:iam::444455556666:role/lambda-sagemaker-role"
      default_bucket             = "mammo-sagemaker-prod-444455556666"
      terraform_state_bucket     = "mammo-terraform-state-444455556666"
      kms_key                    = "alias/mammo-severity"
      model_name                 = "mammo-severity"
      studio_role                = null
      train_pipeline             = { name = "mammo-severity-train-pipeline", role_arn = "arn:aws:iam::444455556666:role/mammo-sagemaker-execution-role" }
      inference_pipeline         = { name = "mammo-severity-inference-pipeline", role_arn = "arn:aws:iam::444455556666:role/mammo-sagemaker-execution-role" }
    }
    registry = {
      account_id                 = "777788889999"
      aws_region                 = "us-east-1"
      kms_key                    = "alias/mammo-severity"
      approver_role              = "arn:aws:iam::777788889999:role/model-approver-role"
      lambda_role                = "arn:aws:iam::777788889999:role/lambda-sagemaker-role"
      model_artifacts_bucket     = "mammo-sagemaker-models-777788889999"
      model_package_group_name   = "mammo-severity-model-package"
      pipelines_alert_topic_name = "mammo-pipelines-alert"
      terraform_state_bucket     = "mammo-terraform-state-777788889999"
      jenkins_account_id         = "123456789012"
      jenkins_role               = "cross-account-jenkins-role"
      jenkins_controller_role    = "jenkins-controller"
      jenkins_log_group          = "jenkins-log"
      jenkins_state_bucket       = "mammo-terraform-state-123456789012"
    }
  }
}

run "prod_and_the_approver_may_decrypt_with_devs_key" {
  command = plan

  assert {
    condition = { for s in jsondecode(data.aws_iam_policy_document.key.json).Statement : s.Sid => s.Condition.ArnEquals["aws:PrincipalArn"] } == {
      ReadersProd     = ["arn:aws:iam::444455556666:role/mammo-sagemaker-execution-role", "arn:aws:iam::444455556666:role/cross-account-jenkins-role"]
      ReadersRegistry = ["arn:aws:iam::777788889999:role/model-approver-role", "arn:aws:iam::777788889999:role/cross-account-jenkins-role"]
    }
    error_message = "Expected prod's pipelines and Jenkins, and the registry's approver and Jenkins."
  }

  assert {
    condition     = alltrue([for s in jsondecode(data.aws_iam_policy_document.key.json).Statement : !strcontains(jsonencode(s.Action), "Encrypt")])
    error_message = "Expected readers only to read."
  }
}

run "dev_may_not_decrypt_with_prods_key" {
  command = plan

  variables {
    environment = "prod"
  }

  assert {
    condition     = [for s in jsondecode(data.aws_iam_policy_document.key.json).Statement : s.Sid] == ["ReadersRegistry"]
    error_message = "Expected nobody but the registry to read what prod's key encrypts."
  }
}

run "services_take_roles_only_for_this_account" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role.execution["arn:aws:iam::111122223333:role/mammo-sagemaker-execution-role"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333"
    error_message = "Expected SageMaker to take the role for this account alone."
  }

  assert {
    condition     = jsondecode(aws_iam_role.jenkins.assume_role_policy).Statement[0].Principal.AWS == "arn:aws:iam::123456789012:role/jenkins-controller"
    error_message = "Expected the controller's role, not its account."
  }
}

run "jenkins_looks_at_buckets_and_roles_and_changes_neither" {
  command = plan

  assert {
    condition     = alltrue([for s in jsondecode(data.aws_iam_policy_document.checks.json).Statement : alltrue([for action in s.Action : can(regex("^(s3:Get|iam:Get|iam:List)", action))])])
    error_message = "Expected nothing but reading."
  }

  assert {
    condition     = one([for s in jsondecode(data.aws_iam_policy_document.checks.json).Statement : s.Resource if s.Sid == "Buckets"]) == ["arn:aws:s3:::mammo-terraform-state-111122223333", "arn:aws:s3:::mammo-sagemaker-dev-111122223333"]
    error_message = "Expected the account's two buckets, and not what they hold."
  }
}

run "a_studio_is_in_dev_alone" {
  command = plan

  assert {
    condition     = length(aws_iam_role.studio) == 1
    error_message = "Expected a role for Studio in dev."
  }
}

run "prod_has_no_studio" {
  command = plan

  variables {
    environment = "prod"
  }

  assert {
    condition     = length(aws_iam_role.studio) == 0
    error_message = "Expected no role for Studio in prod."
  }
}

run "dead_letters_come_from_the_models_own_rules" {
  command = plan

  assert {
    condition = jsondecode(module.alerts_account.dead_letters_policy).Statement[0].Condition.ArnLike["aws:SourceArn"] == [
      "arn:aws:events:us-east-1:111122223333:rule/mammo-severity-*",
      "arn:aws:events:us-east-1:111122223333:rule/*/mammo-severity-*",
    ]
    error_message = "Expected the rules whose names begin with the model's, on each bus."
  }
}
