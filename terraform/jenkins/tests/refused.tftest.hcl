# What is refused before anything is planned.

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

run "jenkins_needs_its_own_account" {
  command = plan

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
        jenkins_account_id         = "777788889999"
        jenkins_role               = "cross-account-jenkins-role"
        jenkins_controller_role    = "jenkins-controller"
        jenkins_log_group          = "jenkins-log"
        jenkins_state_bucket       = "mammo-terraform-state-123456789012"
      }
    }
  }

  expect_failures = [var.environments]
}

run "an_account_is_twelve_digits" {
  command = plan

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
        jenkins_account_id         = "jenkins"
        jenkins_role               = "cross-account-jenkins-role"
        jenkins_controller_role    = "jenkins-controller"
        jenkins_log_group          = "jenkins-log"
        jenkins_state_bucket       = "mammo-terraform-state-123456789012"
      }
    }
  }

  expect_failures = [var.environments]
}
