# The central account: every model version, its artifacts, and who may register, read and approve.

provider "aws" {
  region              = local.here.aws_region
  allowed_account_ids = [local.here.account_id]

  default_tags {
    tags = {
      project     = local.here.model_package_group_name
      environment = "registry"
      managed-by  = "terraform/registry"
    }
  }
}

locals {
  here      = var.environments.registry
  workloads = { dev = var.environments.dev, prod = var.environments.prod }
  accounts  = [for name, workload in local.workloads : "arn:aws:iam::${workload.account_id}:root"]
  trainers  = { for name, workload in local.workloads : name => workload.train_pipeline.role_arn }

  group    = "arn:aws:sagemaker:${local.here.aws_region}:${local.here.account_id}:model-package-group/${local.here.model_package_group_name}"
  versions = "arn:aws:sagemaker:${local.here.aws_region}:${local.here.account_id}:model-package/${local.here.model_package_group_name}/*"
  bucket   = "arn:aws:s3:::${local.here.model_artifacts_bucket}"
}

# ----------------------------------------------------------------------------------------------------------------------
# Key and buckets
# ----------------------------------------------------------------------------------------------------------------------

module "key" {
  source = "../modules/key"

  account_id  = local.here.account_id
  alias       = local.here.kms_key
  description = "${local.here.model_package_group_name}: artifacts and state of the registry"
  policies    = [data.aws_iam_policy_document.key.json]
}

module "artifacts" {
  source = "../modules/bucket"

  name     = local.here.model_artifacts_bucket
  key_arn  = module.key.arn
  policies = [data.aws_iam_policy_document.artifacts.json]
}

module "state" {
  source = "../modules/bucket"

  name    = local.here.terraform_state_bucket
  key_arn = module.key.arn
}

# ----------------------------------------------------------------------------------------------------------------------
# Model versions
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_sagemaker_model_package_group" "group" {
  model_package_group_name        = local.here.model_package_group_name
  model_package_group_description = "Severity of mammographic masses"
}

resource "aws_sagemaker_model_package_group_policy" "group" {
  model_package_group_name = aws_sagemaker_model_package_group.group.model_package_group_name
  resource_policy          = data.aws_iam_policy_document.group.json
}

# ----------------------------------------------------------------------------------------------------------------------
# Roles
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_iam_role" "approver" {
  name               = element(split("/", local.here.approver_role), -1)
  description        = "People who approve and reject versions"
  assume_role_policy = data.aws_iam_policy_document.trust_approver.json
}

resource "aws_iam_role_policy" "approver" {
  name   = "approve"
  role   = aws_iam_role.approver.name
  policy = data.aws_iam_policy_document.approver.json
}

resource "aws_iam_role" "lambda" {
  name               = element(split("/", local.here.lambda_role), -1)
  description        = "The function that tells the approver; what it may do is added where it is deployed"
  assume_role_policy = data.aws_iam_policy_document.trust_lambda.json
}

resource "aws_iam_role" "jenkins" {
  name               = local.here.jenkins_role
  description        = "Jenkins looks at versions and deploys the approver's mail; it can not approve"
  assume_role_policy = data.aws_iam_policy_document.trust_jenkins.json
}

resource "aws_iam_role_policy" "jenkins" {
  for_each = {
    checks    = data.aws_iam_policy_document.checks.json
    look      = data.aws_iam_policy_document.look.json
    terraform = module.alerts_account.policy
  }

  name   = each.key
  role   = aws_iam_role.jenkins.name
  policy = each.value
}

module "alerts_account" {
  source = "../modules/alerts_account"

  account_id   = local.here.account_id
  aws_region   = local.here.aws_region
  name         = local.here.model_package_group_name
  topic_name   = local.here.pipelines_alert_topic_name
  lambda_role  = local.here.lambda_role
  state_bucket = local.here.terraform_state_bucket
  key_arn      = module.key.arn
  root         = "approval"
}
