locals {
  callers = values(local.rule_arns)
}

data "aws_kms_alias" "notes" {
  name = var.notes.kms_key
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109: In a key's policy the resource is the key itself; without its account's administration it could never be changed.
  #checkov:skip=CKV_AWS_111: As above; whoever else may use the key is named with conditions.
  #checkov:skip=CKV_AWS_356: As above; "*" in a key's policy means this key.
  statement {
    sid       = "Administration"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account_id}:root"]
    }
  }

  statement {
    sid       = "RulesPublish"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

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
    sid       = "NotifyPublishes"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [var.lambda_role]
    }
  }

  statement {
    sid       = "Log"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.aws_region}.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:${var.aws_region}:${var.account_id}:log-group:${local.log_group}"]
    }
  }
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
    resources = [aws_kms_key.alerts.arn, data.aws_kms_alias.notes.target_key_arn]
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
