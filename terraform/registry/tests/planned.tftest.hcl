# What is planned for the registry account.

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

run "only_this_account_may_approve" {
  command = plan

  assert {
    condition     = !strcontains(aws_sagemaker_model_package_group_policy.group.resource_policy, "UpdateModelPackage")
    error_message = "Expected nobody outside the account to update a version, which is the approval."
  }
}

run "only_the_training_roles_register_and_only_what_waits" {
  command = plan

  assert {
    condition = one([for s in jsondecode(aws_sagemaker_model_package_group_policy.group.resource_policy).Statement : s if s.Sid == "RegisterVersions"]).Condition == {
      ArnEquals            = { "aws:PrincipalArn" = ["arn:aws:iam::111122223333:role/mammo-sagemaker-execution-role", "arn:aws:iam::444455556666:role/mammo-sagemaker-execution-role"] }
      StringEqualsIfExists = { "sagemaker:ModelApprovalStatus" = "PendingManualApproval" }
    }
    error_message = "Expected CreateModelPackage for the training roles alone, and for versions that wait."
  }
}

run "each_workload_writes_under_its_own_name" {
  command = plan

  assert {
    condition = { for s in jsondecode(data.aws_iam_policy_document.artifacts.json).Statement : s.Sid => s.Resource if startswith(s.Sid, "Write") } == {
      WriteDev  = "arn:aws:s3:::mammo-sagemaker-models-777788889999/mammo-severity/dev/*"
      WriteProd = "arn:aws:s3:::mammo-sagemaker-models-777788889999/mammo-severity/prod/*"
    }
    error_message = "Expected dev and prod to write under their own names alone."
  }

  assert {
    condition     = !strcontains(data.aws_iam_policy_document.artifacts.json, "s3:Delete") && !strcontains(data.aws_iam_policy_document.artifacts.json, "PutObjectAcl")
    error_message = "Expected nobody from outside to delete, or to change who may read."
  }
}

run "jenkins_comes_as_the_controller_and_nobody_else" {
  command = plan

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
    condition     = one([for s in jsondecode(data.aws_iam_policy_document.checks.json).Statement : s.Resource if s.Sid == "Roles"]) == ["arn:aws:iam::777788889999:role/model-approver-role", "arn:aws:iam::777788889999:role/cross-account-jenkins-role"]
    error_message = "Expected the roles that this root makes."
  }
}
