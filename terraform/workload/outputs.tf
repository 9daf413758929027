output "key_arn" {
  description = "The account's key."
  value       = module.key.arn
}
