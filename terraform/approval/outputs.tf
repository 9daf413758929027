output "topic_arn" {
  description = "The topic whose subscriber is told."
  value       = module.alerts.topic_arn
}

output "dead_letters_arn" {
  description = "The queue that takes what could not be delivered."
  value       = module.alerts.dead_letters_arn
}

output "notify_function_arn" {
  description = "The function that tells."
  value       = module.alerts.notify_function_arn
}

output "rules" {
  description = "Every rule's ARN."
  value       = { for name, rule in module.alerts.rules : name => rule.arn }
}
