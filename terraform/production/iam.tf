locals {
  # Which rule may use the role that starts which pipeline.
  starts = {
    inference = local.schedule_rule_arn
    training  = "arn:aws:events:${var.aws_region}:${var.account_id}:rule/${local.forwarded ? "${var.event_bus_name}/" : ""}${var.model_name}-drift"
  }
  bus_arn = "arn:aws:events:${var.aws_region}:${var.account_id}:event-bus/${var.event_bus_name}"
}

data "aws_iam_policy_document" "trust" {
  for_each = merge(local.starts, local.forwarded ? { forward = "arn:aws:events:${var.aws_region}:${var.account_id}:rule/${local.forward_rule}" } : {})

  statement {
    actions = ["sts:AssumeRole"]

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
      values   = [each.value]
    }
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# Rules start pipelines: each role one pipeline
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "start" {
  for_each = local.starts

  statement {
    actions   = ["sagemaker:StartPipelineExecution"]
    resources = [local.pipelines[each.key]]
  }
}

resource "aws_iam_role" "start" {
  for_each = local.starts

  name               = "${var.model_name}-events-start-${each.key}"
  description        = "A rule starts the ${each.key} pipeline"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy" "start" {
  for_each = local.starts

  name   = "start"
  role   = aws_iam_role.start[each.key].name
  policy = data.aws_iam_policy_document.start[each.key].json
}

# ----------------------------------------------------------------------------------------------------------------------
# A rule forwards events to another bus
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "forward" {
  statement {
    actions   = ["events:PutEvents"]
    resources = [local.bus_arn]
  }
}

resource "aws_iam_role" "forward" {
  count = local.forwarded ? 1 : 0

  name               = "${var.model_name}-events-forward"
  description        = "A rule forwards SageMaker's events to ${var.event_bus_name}"
  assume_role_policy = data.aws_iam_policy_document.trust["forward"].json
}

resource "aws_iam_role_policy" "forward" {
  count = local.forwarded ? 1 : 0

  name   = "forward"
  role   = aws_iam_role.forward[0].name
  policy = data.aws_iam_policy_document.forward.json
}
