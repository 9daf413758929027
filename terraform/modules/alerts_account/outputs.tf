output "dead_letters_policy" {
  description = "Who may leave a dead letter, as JSON."
  value       = data.aws_iam_policy_document.dead_letters.json
}

output "policy" {
  description = "The policy document, as JSON."
  value       = data.aws_iam_policy_document.deployer.json
}
