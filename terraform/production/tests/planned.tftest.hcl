# What is planned, with mocks in AWS's place.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{}"
    }
  }
  mock_data "aws_kms_alias" {
    defaults = {
      target_key_arn = "arn:aws:kms:us-east-1:444455556666:key/00000000-0000-0000-0000-000000000000"
    }
  }
  mock_resource "aws_sns_topic" {
    defaults = {
      arn = "arn:aws:sns:us-east-1:444455556666:mammo-pipelines-alert"
    }
  }
  mock_resource "aws_iam_role" {
    defaults = {
      arn = "arn:aws:iam::444455556666:role/mocked"
    }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn = "arn:aws:lambda:us-east-1:444455556666:function:mammo-severity-notify"
    }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = {
      arn = "arn:aws:events:us-east-1:444455556666:rule/mocked"
    }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = {
      arn = "arn:aws:logs:us-east-1:444455556666:log-group:/aws/lambda/mammo-severity-notify"
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

run "the_schedule_starts_the_inference_pipeline_with_its_parameters" {
  command = plan

  assert {
    condition     = aws_cloudwatch_event_rule.schedule.schedule_expression == "cron(0 23 * * ? *)"
    error_message = "The rule does not follow cron_schedule."
  }
  assert {
    condition     = aws_cloudwatch_event_target.inference.arn == "arn:aws:sagemaker:us-east-1:444455556666:pipeline/mammo-severity-inference-pipeline"
    error_message = "The target is not the inference pipeline's ARN, in lower case."
  }
  assert {
    condition = { for parameter in aws_cloudwatch_event_target.inference.sagemaker_pipeline_target[0].pipeline_parameter_list : parameter.name => parameter.value } == {
      BatchDataUrl = "s3://mammo-sagemaker-prod-444455556666/mammo-severity/data/batch-dataset/mammo-batch-dataset.csv"
      OnViolation  = "block"
    }
    error_message = "The pipeline is not given the batch and the policy."
  }
}

run "a_role_of_a_rule_may_start_one_pipeline_and_nothing_else" {
  command = plan

  assert {
    condition = alltrue([
      for name, document in data.aws_iam_policy_document.start :
      length(document.statement) == 1 &&
      document.statement[0].actions == toset(["sagemaker:StartPipelineExecution"]) &&
      document.statement[0].resources == toset(["arn:aws:sagemaker:us-east-1:444455556666:pipeline/mammo-severity-${name == "training" ? "train" : name}-pipeline"])
    ])
    error_message = "A role may do more or less than start its pipeline."
  }
  assert {
    condition = alltrue([
      for name, rule in { inference = "mammo-severity-inference-schedule", training = "mammo-severity-drift" } :
      contains(flatten([for condition in data.aws_iam_policy_document.trust[name].statement[0].condition : condition.values]), "arn:aws:events:us-east-1:444455556666:rule/${rule}")
    ])
    error_message = "A role trusts another rule than its own."
  }
}

run "drift_and_only_drift_starts_training" {
  command = plan

  assert {
    condition     = aws_cloudwatch_event_target.training.arn == "arn:aws:sagemaker:us-east-1:444455556666:pipeline/mammo-severity-train-pipeline" && aws_cloudwatch_event_target.training.rule == "mammo-severity-drift"
    error_message = "The training pipeline is not the drift rule's target."
  }
  assert {
    condition     = aws_cloudwatch_event_target.training.sagemaker_pipeline_target[0].pipeline_parameter_list == toset([{ name = "RetrainReason", value = "drift" }])
    error_message = "Training is not told that drift is the reason."
  }
  assert {
    condition = jsondecode(module.alerts.rules["drift"].event_pattern) == {
      source      = ["aws.sagemaker"]
      detail-type = ["SageMaker Model Building Pipeline Execution Step Status Change"]
      detail = {
        pipelineArn       = ["arn:aws:sagemaker:us-east-1:444455556666:pipeline/mammo-severity-inference-pipeline"]
        stepName          = ["MonitorBatch"]
        currentStepStatus = ["Failed"]
        failureReason     = [{ prefix = "ClientError: Quality check failed" }, { prefix = "ClientError: AlgorithmError: Quality check failed" }]
      }
    }
    error_message = "The drift rule matches something else than the monitor's finding."
  }
}

run "every_message_is_json_with_a_subject_that_sns_takes" {
  command = plan

  assert {
    condition = alltrue([
      for name, template in module.alerts.templates :
      can(jsondecode(replace(template, "<detail>", "{}"))) && length(jsondecode(replace(template, "<detail>", "{}")).subject) <= 80
    ])
    error_message = "A template is not JSON, or its subject has more than 100 characters once it is filled in."
  }
  assert {
    condition     = alltrue([for name in ["drift", "inference-failed", "training-failed", "deadline"] : contains(keys(module.alerts.rules), name)])
    error_message = "Something a person should be told of has no rule."
  }
  assert {
    condition     = strcontains(module.alerts.templates["inference-failed"], "Why: {failureReason}") && strcontains(module.alerts.templates["drift"], "within 7 days")
    error_message = "A message lacks the reason, or the cool-down."
  }
}

run "on_another_bus_rules_move_there_schedules_stay_and_events_are_forwarded" {
  command = plan

  variables {
    event_bus_name = "mammo"
  }

  assert {
    condition     = module.alerts.rules["drift"].event_bus_name == "mammo" && aws_cloudwatch_event_target.training.event_bus_name == "mammo"
    error_message = "The drift rule and its target are not on the bus."
  }
  assert {
    condition     = module.alerts.rules["deadline"].event_bus_name == "default" && aws_cloudwatch_event_rule.schedule.event_bus_name == "default"
    error_message = "A schedule is not on the default bus, where alone schedules fire."
  }
  assert {
    condition     = aws_cloudwatch_event_target.forward[0].arn == "arn:aws:events:us-east-1:444455556666:event-bus/mammo"
    error_message = "SageMaker's events are not forwarded to the bus."
  }
}

run "each_target_retries_and_leaves_dead_letters" {
  command = apply

  assert {
    condition = alltrue([
      for target in [aws_cloudwatch_event_target.inference, aws_cloudwatch_event_target.training] :
      length(target.retry_policy) == 1 && target.dead_letter_config[0].arn == module.alerts.dead_letters_arn
    ])
    error_message = "A target has no retry policy or no dead-letter queue."
  }
}
