# What is refused before anything is planned.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{}"
    }
  }
}

variables {
  env_group                  = "prod"
  account_id                 = "444455556666"
  aws_region                 = "us-east-1"
  event_bus_name             = "default"
  pipelines_alert_topic_name = "mammo-pipelines-alert"
  email                      = "mammo-prod-team@example.com"
  lambda_role                = "lambda-sagemaker-role"
  default_bucket             = "mammo-sagemaker-prod-444455556666"
  terraform_state_bucket     = "mammo-terraform-state-444455556666"
  kms_key                    = "alias/mammo-severity"
  model_name                 = "mammo-severity"
  batch_dataset_filename     = "mammo-batch-dataset.csv"
  notify_package             = "versions.tf" # Any file: nothing is uploaded

  train_pipeline = {
    name                = "Mammo-Severity-Train-Pipeline"
    role_arn            = "mammo-sagemaker-execution-role"
    instance_type       = "ml.m5.xlarge"
    instance_count      = 1
    start_on_deploy     = false
    train_datasets      = ["part-1", "part-2"]
    auc_score_threshold = 0.8
    sensitivity_target  = 0.9
    hyperparameters     = { objective = "binary:logistic", num_round = 50 }
    cool_down_days      = 7
  }

  inference_pipeline = {
    name              = "Mammo-Severity-Inference-Pipeline"
    role_arn          = "mammo-sagemaker-execution-role"
    instance_type     = "ml.m5.xlarge"
    instance_count    = 1
    start_on_deploy   = false
    cron_schedule     = "cron(0 23 * * ? *)"
    deadline_schedule = "cron(0 1 * * ? *)"
  }

  monitoring = {
    engine         = "model_monitor"
    on_violation   = "block"
    smallest_batch = 48
  }
}

run "placeholders_and_what_is_out_of_range_are_refused" {
  command = plan

  variables {
    env_group                  = "registry" # Another root's
    account_id                 = "4444-5555-6666"
    model_name                 = "a-model-name-that-is-much-too-long-for-lambda"
    email                      = "<your e-mail>"
    default_bucket             = "<bucket with sagemaker in it>"
    terraform_state_bucket     = "<bucket>"
    pipelines_alert_topic_name = "<topic>"
    notify_package             = "no-such.zip"
    monitoring = {
      engine         = "evidently"
      on_violation   = "block"
      smallest_batch = 48
    }
  }

  expect_failures = [
    var.env_group, var.account_id, var.model_name, var.email, var.default_bucket, var.terraform_state_bucket,
    var.pipelines_alert_topic_name, var.notify_package, var.monitoring,
  ]
}

run "a_cool_down_of_minus_one_day_and_a_cron_expression_with_both_days_are_refused" {
  command = plan

  variables {
    event_bus_name = "arn:aws:events:us-east-1:444455556666:event-bus/mammo"
    default_bucket = "mammo-prod" # Without sagemaker
    kms_key        = "alias/aws/sns"
    train_pipeline = {
      name                = "mammo-severity-train-pipeline"
      role_arn            = "mammo-sagemaker-execution-role"
      instance_type       = "ml.m5.xlarge"
      instance_count      = 1
      start_on_deploy     = false
      train_datasets      = ["part-1"]
      auc_score_threshold = 0.8
      sensitivity_target  = 0.9
      hyperparameters     = {}
      cool_down_days      = -1
    }
    inference_pipeline = {
      name              = "mammo-severity-inference-pipeline"
      role_arn          = "mammo-sagemaker-execution-role"
      instance_type     = "ml.m5.xlarge"
      instance_count    = 1
      start_on_deploy   = false
      cron_schedule     = "cron(0 23 * * * *)"
      deadline_schedule = "cron(0 1 * * ? *)"
    }
  }

  expect_failures = [var.event_bus_name, var.default_bucket, var.kms_key, var.train_pipeline, var.inference_pipeline]
}

run "a_pipeline_name_with_an_underscore_a_cron_expression_of_five_fields_and_an_unknown_policy_are_refused" {
  command = plan

  variables {
    train_pipeline = {
      name                = "mammo_train"
      role_arn            = "mammo-sagemaker-execution-role"
      instance_type       = "ml.m5.xlarge"
      instance_count      = 1
      start_on_deploy     = false
      train_datasets      = ["part-1"]
      auc_score_threshold = 0.8
      sensitivity_target  = 0.9
      hyperparameters     = {}
      cool_down_days      = 7
    }
    inference_pipeline = {
      name              = "mammo-severity-inference-pipeline"
      role_arn          = "mammo-sagemaker-execution-role"
      instance_type     = "ml.m5.xlarge"
      instance_count    = 1
      start_on_deploy   = false
      cron_schedule     = "cron(0 23 * * ? *)"
      deadline_schedule = "cron(0 1 * * ?)"
    }
    monitoring = {
      engine         = "processing"
      on_violation   = "ignore"
      smallest_batch = 48
    }
  }

  expect_failures = [var.train_pipeline, var.inference_pipeline, var.monitoring]
}

run "roles_of_another_account_and_a_rate_of_one_days_are_refused" {
  command = plan

  variables {
    lambda_role = "arn:aws:iam::111122223333:role/lambda-sagemaker-role"
    train_pipeline = {
      name                = "mammo-severity-train-pipeline"
      role_arn            = "arn:aws:iam::111122223333:role/mammo-sagemaker-execution-role"
      instance_type       = "ml.m5.xlarge"
      instance_count      = 1
      start_on_deploy     = false
      train_datasets      = ["part-1"]
      auc_score_threshold = 0.8
      sensitivity_target  = 0.9
      hyperparameters     = {}
      cool_down_days      = 7
    }
    inference_pipeline = {
      name              = "mammo-severity-inference-pipeline"
      role_arn          = "mammo-sagemaker-execution-role"
      instance_type     = "ml.m5.xlarge"
      instance_count    = 1
      start_on_deploy   = false
      cron_schedule     = "rate(1 days)"
      deadline_schedule = "cron(0 1 * * ? *)"
    }
  }

  expect_failures = [var.lambda_role, var.train_pipeline, var.inference_pipeline]
}
