output "instance_profile" {
  description = "What the machine of the Jenkins controller is started with."
  value       = aws_iam_instance_profile.controller.name
}
