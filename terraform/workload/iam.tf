# ----------------------------------------------------------------------------------------------------------------------
# Who may assume a role
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "trust_sagemaker" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.here.account_id]
    }
  }
}

# Lambda names no source when it takes a role; only who may pass the role, in this account, can have a function take it.
data "aws_iam_policy_document" "trust_lambda" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "trust_jenkins" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.registry.jenkins_account_id}:role/${local.registry.jenkins_controller_role}"]
    }
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# Who may use the key
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109: In a key's policy the resource is the key itself and nothing else.
  #checkov:skip=CKV_AWS_111: As above; the condition names the roles that may read.
  #checkov:skip=CKV_AWS_356: As above; "*" in a key's policy means this key.
  dynamic "statement" {
    for_each = local.readers

    content {
      sid       = "Readers${title(statement.key)}"
      actions   = ["kms:Decrypt", "kms:DescribeKey"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:aws:iam::${statement.value.account_id}:root"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:PrincipalArn"
        values   = statement.value.roles
      }
    }
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# What everybody needs who works with models: the central bucket, the group, the keys
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "models" {
  statement {
    sid       = "Data"
    actions   = ["s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject"]
    resources = [module.data.arn, "${module.data.arn}/*"]
  }

  statement {
    sid       = "Models"
    actions   = ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectVersion", "s3:ListBucket"]
    resources = ["arn:aws:s3:::${local.registry.model_artifacts_bucket}", "arn:aws:s3:::${local.registry.model_artifacts_bucket}/*"]
  }

  statement {
    sid       = "Versions"
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.group, local.versions]
  }

  statement {
    sid       = "OwnKey"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = [module.key.arn]
  }

  # A key of another account is known by its ARN only after that account is made; its policy says whether this one may.
  statement {
    sid       = "OtherKeys"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    resources = ["arn:aws:kms:${local.registry.aws_region}:${local.registry.account_id}:key/*"]
  }

  dynamic "statement" {
    for_each = var.environment == "prod" ? [var.environments.dev] : []

    content {
      sid       = "KeyOfDev"
      actions   = ["kms:Decrypt", "kms:DescribeKey"]
      resources = ["arn:aws:kms:${statement.value.aws_region}:${statement.value.account_id}:key/*"]
    }
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# What the pipelines' jobs may do
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "execution" {
  source_policy_documents = [data.aws_iam_policy_document.models.json]

  statement {
    sid       = "Artifacts"
    actions   = ["s3:PutObject"]
    resources = ["arn:aws:s3:::${local.registry.model_artifacts_bucket}/${local.here.model_name}/${var.environment}/*"]
  }

  statement {
    sid       = "Register"
    actions   = ["sagemaker:CreateModel", "sagemaker:CreateModelPackage"]
    resources = [local.group, local.versions]
  }

  statement {
    sid = "Jobs"
    actions = flatten([for kind in ["ProcessingJob", "TrainingJob", "TransformJob"] : [for verb in ["Create", "Describe", "Stop"] : "sagemaker:${verb}${kind}"]
    ])
    resources = [for kind in ["processing-job", "training-job", "transform-job"] : "arn:aws:sagemaker:${local.place}:${kind}/*"]
  }

  statement {
    sid       = "ServingModels"
    actions   = ["sagemaker:AddTags", "sagemaker:CreateModel", "sagemaker:DeleteModel", "sagemaker:DescribeModel", "sagemaker:ListTags"]
    resources = ["arn:aws:sagemaker:${local.place}:model/*"]
  }

  statement {
    sid       = "TagJobs"
    actions   = ["sagemaker:AddTags", "sagemaker:ListTags"]
    resources = [for kind in ["processing-job", "training-job", "transform-job"] : "arn:aws:sagemaker:${local.place}:${kind}/*"]
  }

  statement {
    sid       = "CallFunctions"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.functions]
  }

  statement {
    sid       = "PassRole"
    actions   = ["iam:PassRole"]
    resources = local.execution_roles

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:${local.place}:log-group:/aws/sagemaker/*"]
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# What the functions may do; what telling people takes is added where it is deployed
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "lambda" {
  statement {
    sid       = "Versions"
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListModelPackages"]
    resources = [local.group, local.versions]
  }

  statement {
    sid       = "Executions"
    actions   = ["sagemaker:DescribePipelineExecution"]
    resources = ["arn:aws:sagemaker:${local.place}:pipeline/${lower(local.here.train_pipeline.name)}/execution/*"]
  }

  statement {
    sid       = "Data"
    actions   = ["s3:GetObject", "s3:ListBucket"]
    resources = [module.data.arn, "${module.data.arn}/*"]
  }

  statement {
    sid       = "Claims"
    actions   = ["s3:PutObject"]
    resources = ["${module.data.arn}/${local.here.model_name}/claims/*"]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"]
    resources = [module.key.arn]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:${local.place}:log-group:/aws/lambda/${local.here.model_name}-*"]
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# What running the numbered notebooks takes: for Jenkins, and for a data scientist in Studio
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "notebooks" {
  #checkov:skip=CKV_AWS_356: "*" is for listings, which know no resource.
  source_policy_documents = [data.aws_iam_policy_document.models.json]

  statement {
    sid = "Pipelines"
    actions = [
      "sagemaker:AddTags", "sagemaker:CreatePipeline", "sagemaker:DeletePipeline", "sagemaker:DescribePipeline", "sagemaker:ListPipelineExecutions", "sagemaker:ListTags",
      "sagemaker:StartPipelineExecution", "sagemaker:UpdatePipeline"
    ]
    resources = local.pipelines
  }

  statement {
    sid = "Executions"
    actions = [
      "sagemaker:DescribePipelineDefinitionForExecution", "sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps", "sagemaker:ListPipelineParametersForExecution",
      "sagemaker:StopPipelineExecution"
    ]
    resources = [for arn in local.pipelines : "${arn}/execution/*"]
  }

  statement {
    sid       = "Jobs"
    actions   = ["sagemaker:DescribeProcessingJob", "sagemaker:DescribeTrainingJob", "sagemaker:DescribeTransformJob"]
    resources = [for kind in ["processing-job", "training-job", "transform-job"] : "arn:aws:sagemaker:${local.place}:${kind}/*"]
  }

  statement {
    sid       = "Listings"
    actions   = ["logs:DescribeLogGroups", "sagemaker:ListModels", "sagemaker:ListPipelines", "sagemaker:ListProcessingJobs", "sagemaker:ListTrainingJobs"]
    resources = ["*"]
  }

  statement {
    sid       = "ServingModels"
    actions   = ["sagemaker:DeleteModel", "sagemaker:DescribeModel"]
    resources = ["arn:aws:sagemaker:${local.place}:model/pipelines-*"]
  }

  statement {
    sid       = "StepFunctions"
    actions   = ["lambda:CreateFunction", "lambda:GetFunction"]
    resources = [local.functions]
  }

  dynamic "statement" {
    for_each = { sagemaker = local.execution_roles, lambda = [local.here.lambda_role] }

    content {
      sid       = "PassTo${title(statement.key)}"
      actions   = ["iam:PassRole"]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["${statement.key}.amazonaws.com"]
      }
    }
  }

  statement {
    sid       = "ReadLogs"
    actions   = ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"]
    resources = ["arn:aws:logs:${local.place}:log-group:/aws/sagemaker/*", "arn:aws:logs:${local.place}:log-group:/aws/lambda/${local.here.model_name}-*"]
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# What comparing the account with this root's state takes, beside what deploying does: for Jenkins
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "checks" {
  statement {
    sid       = "Buckets"
    actions   = ["s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration"]
    resources = [for name in [local.here.default_bucket, local.here.terraform_state_bucket] : "arn:aws:s3:::${name}"]
  }

  statement {
    sid       = "Roles"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = concat(tolist(local.execution_roles), compact([local.here.studio_role, "arn:aws:iam::${local.here.account_id}:role/${local.registry.jenkins_role}"]))
  }
}
