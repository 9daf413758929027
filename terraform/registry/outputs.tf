output "model_package_group_arn" {
  description = "The group, by which other accounts reach it."
  value       = aws_sagemaker_model_package_group.group.arn
}

output "key_arn" {
  description = "The account's key."
  value       = module.key.arn
}
