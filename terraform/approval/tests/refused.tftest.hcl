# What is refused before anything is planned.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{}"
    }
  }
}

variables {
  env_group                  = "registry"
  account_id                 = "777788889999"
  aws_region                 = "us-east-1"
  email                      = "mammo-model-approvers@example.com"
  kms_key                    = "alias/mammo-severity"
  model_artifacts_bucket     = "mammo-sagemaker-models-777788889999"
  model_package_group_name   = "mammo-severity-model-package"
  approver_role              = "model-approver-role"
  event_bus_name             = "default"
  pipelines_alert_topic_name = "mammo-pipelines-alert"
  lambda_role                = "lambda-sagemaker-role"
  terraform_state_bucket     = "mammo-terraform-state-777788889999"
  jenkins_account_id         = "123456789012"
  jenkins_role               = "cross-account-jenkins-role"
  jenkins_controller_role    = "jenkins-controller"
  jenkins_log_group          = "jenkins-log"
  jenkins_state_bucket       = "mammo-terraform-state-123456789012"
  notify_package             = "versions.tf" # Any file: nothing is uploaded
}

run "each_wrong_value_is_refused" {
  command = plan

  variables {
    env_group                = "prod"                                               # Another root's
    approver_role            = "arn:aws:iam::111122223333:role/model-approver-role" # Of another account
    model_package_group_name = "a-model-package-group-name-that-is-much-too-long-here"
    model_artifacts_bucket   = "<bucket with sagemaker in it>"
    jenkins_account_id       = "jenkins"
    notify_package           = "no-such.zip"
  }

  expect_failures = [
    var.env_group, var.approver_role, var.model_package_group_name, var.model_artifacts_bucket, var.jenkins_account_id, var.notify_package,
  ]
}
