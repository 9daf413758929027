# The registry account tells the approver that a version waits. SageMaker raises the event in the account that owns the
# group, so rule, topic and function are in that account too and no event has to cross accounts.

provider "aws" {
  region              = var.aws_region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      project     = var.model_package_group_name
      environment = var.env_group
      managed-by  = "terraform/approval"
    }
  }
}

locals {
  lambda_role = startswith(var.lambda_role, "arn:") ? var.lambda_role : "arn:aws:iam::${var.account_id}:role/${var.lambda_role}"
}

module "alerts" {
  source = "../modules/alerts"

  name           = var.model_package_group_name
  account_id     = var.account_id
  aws_region     = var.aws_region
  event_bus_name = var.event_bus_name
  topic_name     = var.pipelines_alert_topic_name
  email          = var.email
  notify_package = var.notify_package
  lambda_role    = local.lambda_role

  notes = {
    bucket  = var.model_artifacts_bucket
    prefix  = "${var.model_package_group_name}/told"
    kms_key = var.kms_key
  }

  notices = {
    version-waits = {
      description = "A version waits for approval"
      key         = "version-waits <arn>"
      values      = { arn = "$.detail.ModelPackageArn", version = "$.detail.ModelPackageVersion" }
      subject     = "${var.model_package_group_name}: version <version> waits for approval"
      message     = <<-EOT
        Version <version> was registered at <time> and waits for you. Until you approve it, predictions go on with the newest approved version, and no other is trained on drift.

        Version: <arn>

        What next: look at its metrics, their intervals and how it compares with the version in use:
          mammo-mlops run --environment registry --only 40
        Then decide, as ${element(split("/", var.approver_role), -1)}; the reason is kept with the version:
          mammo-mlops approve --version <version> --reason '...'
          mammo-mlops reject --version <version> --reason '...'

        The next scheduled run uses an approved version.
      EOT
      event_pattern = jsonencode({
        source      = ["aws.sagemaker"]
        detail-type = ["SageMaker Model Package State Change"]
        detail = {
          ModelPackageGroupName = [var.model_package_group_name]
          ModelApprovalStatus   = ["PendingManualApproval"]
          ModelPackageStatus    = ["Completed"]
        }
      })
    }
  }
}
