# What is planned, with mocks in AWS's place.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{}"
    }
  }
  mock_data "aws_kms_alias" {
    defaults = {
      target_key_arn = "arn:aws:kms:us-east-1:777788889999:key/00000000-0000-0000-0000-000000000000"
    }
  }
  mock_resource "aws_sns_topic" {
    defaults = {
      arn = "arn:aws:sns:us-east-1:777788889999:mammo-pipelines-alert"
    }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn = "arn:aws:lambda:us-east-1:777788889999:function:mammo-severity-model-package-notify"
    }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = {
      arn = "arn:aws:events:us-east-1:777788889999:rule/mocked"
    }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = {
      arn = "arn:aws:logs:us-east-1:777788889999:log-group:/aws/lambda/mammo-severity-model-package-notify"
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

run "the_approver_is_told_of_a_version_that_waits_and_of_nothing_else" {
  command = plan

  assert {
    condition = jsondecode(module.alerts.rules["version-waits"].event_pattern) == {
      source      = ["aws.sagemaker"]
      detail-type = ["SageMaker Model Package State Change"]
      detail = {
        ModelPackageGroupName = ["mammo-severity-model-package"]
        ModelApprovalStatus   = ["PendingManualApproval"]
        ModelPackageStatus    = ["Completed"]
      }
    }
    error_message = "The rule matches something else than a version of the group that waits."
  }
  assert {
    condition     = keys(module.alerts.rules) == ["version-waits"]
    error_message = "The registry account has another rule."
  }
}

run "the_message_says_which_version_and_how_to_decide" {
  command = plan

  assert {
    condition     = jsondecode(replace(module.alerts.templates["version-waits"], "<detail>", "{}")).subject == "mammo-severity-model-package: version <version> waits for approval"
    error_message = "The subject does not name the version."
  }
  assert {
    condition     = strcontains(module.alerts.templates["version-waits"], "mammo-mlops approve --version <version>") && strcontains(module.alerts.templates["version-waits"], "as model-approver-role")
    error_message = "The message does not say how to decide, or as whom."
  }
}
