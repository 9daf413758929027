output "topic_arn" {
  description = "The topic whose subscriber is told."
  value       = aws_sns_topic.alerts.arn
}

output "key_arn" {
  description = "The key of the topic and the log."
  value       = local.key_arn
}

output "dead_letters_arn" {
  description = "The queue that takes what could not be delivered."
  value       = local.dead_letters_arn
}

output "notify_function_arn" {
  description = "The function that tells."
  value       = aws_lambda_function.notify.arn
}

output "rules" {
  description = "Each notice's rule."
  value       = aws_cloudwatch_event_rule.notices
}

output "templates" {
  description = "Each notice's input template."
  value       = local.templates
}
