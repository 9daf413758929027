output "policy" {
  description = "The policy document, as JSON."
  value       = data.aws_iam_policy_document.deployer.json
}
