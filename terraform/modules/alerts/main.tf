locals {
  function_name = "${var.name}-notify"
  log_group     = "/aws/lambda/${local.function_name}"
  key_arn       = data.aws_kms_alias.alerts.target_key_arn
  events        = "arn:aws:events:${var.aws_region}:${var.account_id}:rule"
  rule_names    = { for name in keys(var.notices) : name => "${var.name}-${name}" }

  # Known before anything exists: function and rules do not wait for each other, and the plan shows the texts.
  topic_arn        = "arn:aws:sns:${var.aws_region}:${var.account_id}:${var.topic_name}"
  dead_letters_arn = "arn:aws:sqs:${var.aws_region}:${var.account_id}:${var.name}-dead-letters" # The account's own
  rule_arns = {
    for name, notice in var.notices : name => (
      notice.event_pattern == null || var.event_bus_name == "default"
      ? "${local.events}/${local.rule_names[name]}"
      : "${local.events}/${var.event_bus_name}/${local.rule_names[name]}"
    )
  }

  # <value> is EventBridge's; jsonencode would write its brackets as \u003c and \u003e. The event's detail goes along as
  # an object, because free text (a failure reason) inside a quoted text of the template could end the quotes.
  templates = {
    for name, notice in var.notices : name => replace(replace(replace(
      jsonencode({ for key, value in {
        key      = notice.key
        once_per = notice.once_per
        kind     = notice.kind
        pipeline = notice.pipeline
        hours    = notice.hours
        subject  = notice.subject
        message  = trimspace(notice.message)
        bucket   = var.notes.bucket
        prefix   = var.notes.prefix
        topic    = local.topic_arn
        time     = "<time>"
        detail   = "<detail>"
      } : key => value if value != null }),
    "\\u003c", "<"), "\\u003e", ">"), "\"<detail>\"", "<detail>")
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# Topic
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_sns_topic" "alerts" {
  name              = var.topic_name
  display_name      = var.name
  kms_master_key_id = local.key_arn
}

resource "aws_sns_topic_policy" "alerts" {
  arn    = aws_sns_topic.alerts.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "email" {
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = var.email
}

# ----------------------------------------------------------------------------------------------------------------------
# Notify function: stands between rules and topic, because events may repeat
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "notify" {
  name              = local.log_group
  retention_in_days = 365
  kms_key_id        = local.key_arn
}

resource "aws_lambda_function" "notify" {
  #checkov:skip=CKV_AWS_50: One short call for each event; its log says all that a trace would.
  #checkov:skip=CKV_AWS_115: The events are few, and a new account's quota of 10 leaves no concurrency to reserve.
  #checkov:skip=CKV_AWS_117: It calls AWS only and needs nothing in a VPC.
  #checkov:skip=CKV_AWS_272: Its code comes from this repository with the plan that a person has seen; the plan holds its hash.
  function_name    = local.function_name
  description      = "Tells a person once what a rule tells it again and again"
  filename         = var.notify_package
  source_code_hash = filebase64sha256(var.notify_package)
  handler          = "notify.handler"
  runtime          = "python3.12"
  role             = var.lambda_role
  timeout          = 60
  memory_size      = 128

  dead_letter_config {
    target_arn = local.dead_letters_arn
  }

  depends_on = [aws_cloudwatch_log_group.notify, aws_iam_role_policy.notify]
}

# ----------------------------------------------------------------------------------------------------------------------
# Rules: what is told, and when
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "notices" {
  for_each = var.notices

  name                = local.rule_names[each.key]
  description         = each.value.description
  event_bus_name      = each.value.event_pattern == null ? "default" : var.event_bus_name
  event_pattern       = each.value.event_pattern
  schedule_expression = each.value.schedule_expression
}

resource "aws_cloudwatch_event_target" "notices" {
  for_each = var.notices

  rule           = aws_cloudwatch_event_rule.notices[each.key].name
  event_bus_name = aws_cloudwatch_event_rule.notices[each.key].event_bus_name
  target_id      = "notify"
  arn            = aws_lambda_function.notify.arn

  input_transformer {
    input_paths    = merge(each.value.values, { detail = "$.detail", time = "$.time" })
    input_template = local.templates[each.key]
  }

  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 86400
  }

  dead_letter_config {
    arn = local.dead_letters_arn
  }
}

resource "aws_lambda_permission" "notices" {
  for_each = var.notices

  statement_id   = "${each.key}-rule"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.notify.function_name
  principal      = "events.amazonaws.com"
  source_account = var.account_id
  source_arn     = aws_cloudwatch_event_rule.notices[each.key].arn
}
