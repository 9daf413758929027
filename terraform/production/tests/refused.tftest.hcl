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

run "the_registry_is_no_environment_of_this_root" {
  command = plan

  variables {
    env_group = "registry"
  }

  expect_failures = [var.env_group]
}

run "an_account_id_is_twelve_digits" {
  command = plan

  variables {
    account_id = "4444-5555-6666"
  }

  expect_failures = [var.account_id]
}

run "a_model_name_too_long_for_the_names_made_from_it_is_refused" {
  command = plan

  variables {
    model_name = "a-model-name-that-is-much-too-long-for-lambda"
  }

  expect_failures = [var.model_name]
}

run "a_cool_down_of_minus_one_day_is_refused" {
  command = plan

  variables {
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
  }

  expect_failures = [var.train_pipeline]
}

run "a_pipeline_name_with_an_underscore_is_refused" {
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
  }

  expect_failures = [var.train_pipeline]
}

run "a_cron_expression_with_both_days_is_refused" {
  command = plan

  variables {
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

  expect_failures = [var.inference_pipeline]
}

run "a_cron_expression_of_five_fields_is_refused" {
  command = plan

  variables {
    inference_pipeline = {
      name              = "mammo-severity-inference-pipeline"
      role_arn          = "mammo-sagemaker-execution-role"
      instance_type     = "ml.m5.xlarge"
      instance_count    = 1
      start_on_deploy   = false
      cron_schedule     = "cron(0 23 * * ? *)"
      deadline_schedule = "cron(0 1 * * ?)"
    }
  }

  expect_failures = [var.inference_pipeline]
}

run "a_rate_of_one_days_is_refused" {
  command = plan

  variables {
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

  expect_failures = [var.inference_pipeline]
}

run "an_unknown_engine_is_refused" {
  command = plan

  variables {
    monitoring = {
      engine         = "evidently"
      on_violation   = "block"
      smallest_batch = 48
    }
  }

  expect_failures = [var.monitoring]
}

run "an_unknown_policy_is_refused" {
  command = plan

  variables {
    monitoring = {
      engine         = "processing"
      on_violation   = "ignore"
      smallest_batch = 48
    }
  }

  expect_failures = [var.monitoring]
}

run "a_missing_notify_package_is_refused" {
  command = plan

  variables {
    notify_package = "no-such.zip"
  }

  expect_failures = [var.notify_package]
}

run "placeholders_are_refused" {
  command = plan

  variables {
    email                      = "<your e-mail>"
    default_bucket             = "<bucket with sagemaker in it>"
    terraform_state_bucket     = "<bucket>"
    pipelines_alert_topic_name = "<topic>"
  }

  expect_failures = [var.email, var.default_bucket, var.terraform_state_bucket, var.pipelines_alert_topic_name]
}

run "a_bus_by_arn_a_bucket_without_sagemaker_and_the_aws_managed_key_are_refused" {
  command = plan

  variables {
    event_bus_name = "arn:aws:events:us-east-1:444455556666:event-bus/mammo"
    default_bucket = "mammo-prod"
    kms_key        = "alias/aws/sns"
  }

  expect_failures = [var.event_bus_name, var.default_bucket, var.kms_key]
}

run "roles_of_another_account_are_refused" {
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
  }

  expect_failures = [var.lambda_role, var.train_pipeline]
}
