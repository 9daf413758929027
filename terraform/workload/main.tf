# What a workload account, dev or prod, holds before anything is deployed to it: key, buckets, roles.

provider "aws" {
  region              = local.here.aws_region
  allowed_account_ids = [local.here.account_id]

  default_tags {
    tags = {
      project     = local.here.model_name
      environment = var.environment
      managed-by  = "terraform/workload"
    }
  }
}

locals {
  here     = var.environments[var.environment]
  registry = var.environments.registry
  place    = "${local.here.aws_region}:${local.here.account_id}"

  group    = "arn:aws:sagemaker:${local.registry.aws_region}:${local.registry.account_id}:model-package-group/${local.registry.model_package_group_name}"
  versions = "arn:aws:sagemaker:${local.registry.aws_region}:${local.registry.account_id}:model-package/${local.registry.model_package_group_name}/*"

  pipelines       = [for pipeline in [local.here.train_pipeline, local.here.inference_pipeline] : "arn:aws:sagemaker:${local.place}:pipeline/${lower(pipeline.name)}"]
  execution_roles = toset([local.here.train_pipeline.role_arn, local.here.inference_pipeline.role_arn])
  functions       = "arn:aws:lambda:${local.place}:function:${local.here.model_name}-*"

  # Who reads what this account's key encrypts: prod runs the models that dev trained, and the registry's approver and
  # Jenkins look at every version's evidence. Each account comes with the roles that are meant. They are conditions, not
  # principals: KMS, S3 and IAM refuse a principal that does not exist yet, and each of the accounts would have to be
  # the first; nor does a role that is made anew drop out in silence.
  readers = merge(
    { registry = {
      account_id = local.registry.account_id
      roles      = [local.registry.approver_role, "arn:aws:iam::${local.registry.account_id}:role/${local.registry.jenkins_role}"]
    } },
    var.environment == "dev" ? { prod = {
      account_id = var.environments.prod.account_id
      roles      = distinct([var.environments.prod.train_pipeline.role_arn, var.environments.prod.inference_pipeline.role_arn, "arn:aws:iam::${var.environments.prod.account_id}:role/${local.registry.jenkins_role}"])
    } } : {}
  )
}

# ----------------------------------------------------------------------------------------------------------------------
# Key and buckets
# ----------------------------------------------------------------------------------------------------------------------

module "key" {
  source = "../modules/key"

  account_id  = local.here.account_id
  alias       = local.here.kms_key
  description = "${local.here.model_name}: data, models and state of ${var.environment}"
  policies    = [data.aws_iam_policy_document.key.json]
}

module "data" {
  source = "../modules/bucket"

  name    = local.here.default_bucket
  key_arn = module.key.arn
}

module "state" {
  source = "../modules/bucket"

  name    = local.here.terraform_state_bucket
  key_arn = module.key.arn
}

# ----------------------------------------------------------------------------------------------------------------------
# Roles
# ----------------------------------------------------------------------------------------------------------------------

resource "aws_iam_role" "execution" {
  for_each = local.execution_roles

  name               = element(split("/", each.value), -1)
  description        = "The pipelines and their jobs"
  assume_role_policy = data.aws_iam_policy_document.trust_sagemaker.json
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.execution_roles

  name   = "pipelines"
  role   = aws_iam_role.execution[each.value].name
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "lambda" {
  name               = element(split("/", local.here.lambda_role), -1)
  description        = "The functions that steps of the pipelines call, and the one that tells people"
  assume_role_policy = data.aws_iam_policy_document.trust_lambda.json
}

resource "aws_iam_role_policy" "lambda" {
  name   = "steps"
  role   = aws_iam_role.lambda.name
  policy = data.aws_iam_policy_document.lambda.json
}

resource "aws_iam_role" "jenkins" {
  name               = local.registry.jenkins_role
  description        = "Jenkins deploys pipelines, schedule, rules and mail"
  assume_role_policy = data.aws_iam_policy_document.trust_jenkins.json
}

resource "aws_iam_role_policy" "jenkins" {
  for_each = {
    checks    = data.aws_iam_policy_document.checks.json
    notebooks = data.aws_iam_policy_document.notebooks.json
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
  name         = local.here.model_name
  topic_name   = local.here.pipelines_alert_topic_name
  lambda_role  = local.here.lambda_role
  state_bucket = local.here.terraform_state_bucket
  key_arn      = module.key.arn
  root         = "production"
}

resource "aws_iam_role" "studio" {
  count = local.here.studio_role == null ? 0 : 1

  name               = element(split("/", local.here.studio_role), -1)
  description        = "A data scientist's Studio: runs the numbered notebooks"
  assume_role_policy = data.aws_iam_policy_document.trust_sagemaker.json
}

resource "aws_iam_role_policy" "studio" {
  count = length(aws_iam_role.studio)

  name   = "notebooks"
  role   = aws_iam_role.studio[0].name
  policy = data.aws_iam_policy_document.notebooks.json
}
