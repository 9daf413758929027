# The account that Jenkins runs in: the controller's role, which deploys by assuming a role in each other account, and its log.

provider "aws" {
  region              = local.registry.aws_region
  allowed_account_ids = [local.account_id]

  default_tags {
    tags = {
      project     = "jenkins"
      environment = "jenkins"
      managed-by  = "terraform/jenkins"
    }
  }
}

locals {
  registry   = var.environments.registry
  account_id = local.registry.jenkins_account_id
  log_group  = "arn:aws:logs:${local.registry.aws_region}:${local.account_id}:log-group:${local.registry.jenkins_log_group}"
}

module "key" {
  source = "../modules/key"

  account_id  = local.account_id
  alias       = local.registry.kms_key
  description = "Jenkins: log and state"
  policies    = [data.aws_iam_policy_document.key.json]
}

module "state" {
  source = "../modules/bucket"

  name    = local.registry.jenkins_state_bucket
  key_arn = module.key.arn
}

resource "aws_cloudwatch_log_group" "jenkins" {
  name              = local.registry.jenkins_log_group
  retention_in_days = 400
  kms_key_id        = module.key.arn
}

resource "aws_iam_role" "controller" {
  name               = local.registry.jenkins_controller_role
  description        = "The machine that Jenkins runs on"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_instance_profile" "controller" {
  name = aws_iam_role.controller.name
  role = aws_iam_role.controller.name
}

resource "aws_iam_role_policy" "controller" {
  name   = "deploy"
  role   = aws_iam_role.controller.name
  policy = data.aws_iam_policy_document.controller.json
}
