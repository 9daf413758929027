# What runs by itself in dev and in prod: the schedule, retraining on drift, and who is told of what.

provider "aws" {
  region              = var.aws_region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      project     = var.model_name
      environment = var.env_group
      managed-by  = "terraform/production"
    }
  }
}

locals {
  step_status      = "SageMaker Model Building Pipeline Execution Step Status Change"
  execution_status = "SageMaker Model Building Pipeline Execution Status Change"

  # SageMaker writes pipeline ARNs in lower case, in events too.
  pipelines = { for key, pipeline in { inference = var.inference_pipeline, training = var.train_pipeline } :
    key => "arn:aws:sagemaker:${var.aws_region}:${var.account_id}:pipeline/${lower(pipeline.name)}"
  }
  lambda_role = startswith(var.lambda_role, "arn:") ? var.lambda_role : "arn:aws:iam::${var.account_id}:role/${var.lambda_role}"
  batch       = "s3://${var.default_bucket}/${var.model_name}/data/batch-dataset/${var.batch_dataset_filename}"
  here        = "${var.model_name} (${var.env_group})"

  schedule_rule     = "${var.model_name}-inference-schedule"
  schedule_rule_arn = "arn:aws:events:${var.aws_region}:${var.account_id}:rule/${local.schedule_rule}"
  forward_rule      = "${var.model_name}-forward"
  forwarded         = var.event_bus_name != "default"

  # Drift is this and nothing else: the check of the batch failed because of what it found, whichever engine made it.
  drift_reasons = ["ClientError: Quality check failed", "ClientError: AlgorithmError: Quality check failed"]
  # What the policy "block" does after drift; it is no failure of its own.
  blocked_reason = "ClientError: AlgorithmError: Blocked by"
}

# ----------------------------------------------------------------------------------------------------------------------
# Who is told of what
# ----------------------------------------------------------------------------------------------------------------------

module "alerts" {
  source = "../modules/alerts"

  name               = var.model_name
  account_id         = var.account_id
  aws_region         = var.aws_region
  event_bus_name     = var.event_bus_name
  topic_name         = var.pipelines_alert_topic_name
  email              = var.email
  notify_package     = var.notify_package
  lambda_role        = local.lambda_role
  followed_pipelines = values(local.pipelines)

  notes = {
    bucket  = var.default_bucket
    prefix  = "${var.model_name}/told"
    kms_key = var.kms_key
  }

  notices = {
    drift = {
      description = "A batch differs from what the model was trained on"
      key         = "drift"
      once_per    = "streak"
      pipeline    = local.pipelines.inference
      values      = { run = "$.detail.pipelineExecutionArn" }
      subject     = "${local.here}: a batch has drifted"
      message     = local.texts.drift
      event_pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = [local.step_status]
        detail = {
          pipelineArn       = [local.pipelines.inference]
          stepName          = ["MonitorBatch"]
          currentStepStatus = ["Failed"]
          failureReason     = [for reason in local.drift_reasons : { prefix = reason }]
        }
      })
    }

    inference-failed = {
      description = "A step of the inference pipeline failed, and not because of drift"
      key         = "inference-failed <run>"
      pipeline    = local.pipelines.inference
      values      = { run = "$.detail.pipelineExecutionArn", step = "$.detail.stepName" }
      subject     = "${local.here}: inference failed at <step>"
      message     = local.texts.inference_failed
      event_pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = [local.step_status]
        detail = {
          pipelineArn       = [local.pipelines.inference]
          currentStepStatus = ["Failed"]
          "$or" = [
            { stepName = [{ anything-but = ["MonitorBatch", "SelectRows"] }] },
            { stepName = ["MonitorBatch"], failureReason = [{ anything-but = { prefix = local.drift_reasons } }] },
            { stepName = ["SelectRows"], failureReason = [{ anything-but = { prefix = local.blocked_reason } }] },
            { failureReason = [{ exists = false }] },
          ]
        }
      })
    }

    training-failed = {
      description = "The training pipeline failed"
      key         = "training-failed <run>"
      pipeline    = local.pipelines.training
      values      = { run = "$.detail.pipelineExecutionArn" }
      subject     = "${local.here}: training failed"
      message     = local.texts.training_failed
      event_pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = [local.execution_status]
        detail = {
          pipelineArn                    = [local.pipelines.training]
          currentPipelineExecutionStatus = ["Failed"]
        }
      })
    }

    deadline = {
      description         = "Asks, when predictions must be there, whether they are"
      schedule_expression = var.inference_pipeline.deadline_schedule
      kind                = "deadline"
      hours               = 24
      key                 = "deadline"
      once_per            = "streak"
      pipeline            = local.pipelines.inference
      subject             = "${local.here}: no predictions by the deadline"
      message             = local.texts.deadline
    }
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# Every day: inference
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "schedule" {
  name                = local.schedule_rule
  description         = "Starts the inference pipeline"
  event_bus_name      = "default" # The only one that has schedules
  schedule_expression = var.inference_pipeline.cron_schedule
}

resource "aws_cloudwatch_event_target" "inference" {
  rule      = aws_cloudwatch_event_rule.schedule.name
  target_id = "inference"
  arn       = local.pipelines.inference
  role_arn  = aws_iam_role.start["inference"].arn

  sagemaker_pipeline_target {
    pipeline_parameter_list {
      name  = "BatchDataUrl"
      value = local.batch
    }
    pipeline_parameter_list {
      name  = "OnViolation"
      value = var.monitoring.on_violation
    }
  }

  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 7200 # Rather than predict at any hour, leave it to the person whom the deadline tells
  }

  dead_letter_config {
    arn = module.alerts.dead_letters_arn
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# Drift, and only drift: training
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_event_target" "training" {
  rule           = module.alerts.rules["drift"].name
  event_bus_name = module.alerts.rules["drift"].event_bus_name
  target_id      = "training"
  arn            = local.pipelines.training
  role_arn       = aws_iam_role.start["training"].arn

  sagemaker_pipeline_target {
    pipeline_parameter_list {
      name  = "RetrainReason"
      value = "drift"
    }
  }

  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 86400
  }

  dead_letter_config {
    arn = module.alerts.dead_letters_arn
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# A bus other than the default one: SageMaker's events have to be brought there
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "forward" {
  count = local.forwarded ? 1 : 0

  name          = local.forward_rule
  description   = "Forwards SageMaker's events to ${var.event_bus_name}"
  event_pattern = jsonencode({ source = ["aws.sagemaker"], account = [var.account_id] })
}

resource "aws_cloudwatch_event_target" "forward" {
  count = local.forwarded ? 1 : 0

  rule      = aws_cloudwatch_event_rule.forward[0].name
  target_id = "bus"
  arn       = local.bus_arn
  role_arn  = aws_iam_role.forward[0].arn

  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 86400
  }

  dead_letter_config {
    arn = module.alerts.dead_letters_arn
  }
}
