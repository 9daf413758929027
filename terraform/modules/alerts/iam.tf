locals {
  callers = values(local.rule_arns)
}

# Both keys are the account's.
data "aws_kms_alias" "alerts" {
  name = "alias/${var.name}-alerts"
}

data "aws_kms_alias" "notes" {
  name = var.notes.kms_key
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "Rules"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alerts.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = local.callers
    }
  }

  statement {
    sid       = "Notify"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alerts.arn]

    principals {
      type        = "AWS"
      identifiers = [var.lambda_role]
    }
  }
}

data "aws_iam_policy_document" "notify" {
  statement {
    sid       = "Tell"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alerts.arn]
  }

  statement {
    sid       = "UseTheKeys"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [local.key_arn, data.aws_kms_alias.notes.target_key_arn]
  }

  statement {
    sid       = "NoteWhatWasTold"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["arn:aws:s3:::${var.notes.bucket}/${var.notes.prefix}/*"]
  }

  statement {
    sid       = "SeeWhatWasTold"
    actions   = ["s3:ListBucket"]
    resources = ["arn:aws:s3:::${var.notes.bucket}"]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.notify.arn}:*"]
  }

  statement {
    sid       = "LeaveDeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = [local.dead_letters_arn]
  }

  dynamic "statement" {
    for_each = length(var.followed_pipelines) > 0 ? [var.followed_pipelines] : []

    content {
      sid       = "FollowPipelines"
      actions   = ["sagemaker:ListPipelineExecutionSteps", "sagemaker:ListPipelineExecutions"]
      resources = flatten([for arn in statement.value : [arn, "${arn}/execution/*"]])
    }
  }
}

resource "aws_iam_role_policy" "notify" {
  name   = local.function_name
  role   = element(split("/", var.lambda_role), -1)
  policy = data.aws_iam_policy_document.notify.json
}
