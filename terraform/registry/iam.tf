# The workload accounts are principals and their roles conditions: S3, KMS and SageMaker refuse a principal that does not
# exist yet, and the workloads' keys need this account's roles in turn, so no order of the accounts would do; nor does a
# role that is made anew drop out in silence. Where only reading is granted, the workload account's own policies say
# which of its roles read: pipelines, function, Jenkins, Studio.

# ----------------------------------------------------------------------------------------------------------------------
# Who may assume a role
# ----------------------------------------------------------------------------------------------------------------------

# People come as this account's own principals, through whatever single sign-on it has; its administrator says who.
data "aws_iam_policy_document" "trust_approver" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${local.here.account_id}:root"]
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
      identifiers = ["arn:aws:iam::${local.here.jenkins_account_id}:role/${local.here.jenkins_controller_role}"]
    }
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# What the workload accounts may do here
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109: In a key's policy the resource is the key itself and nothing else.
  #checkov:skip=CKV_AWS_111: As above; S3 alone may use it for the workloads.
  #checkov:skip=CKV_AWS_356: As above; "*" in a key's policy means this key.
  statement {
    sid       = "Workloads"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = local.accounts
    }
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.here.aws_region}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "artifacts" {
  statement {
    sid       = "Read"
    actions   = ["s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectVersion", "s3:ListBucket"]
    resources = [local.bucket, "${local.bucket}/*"]

    principals {
      type        = "AWS"
      identifiers = local.accounts
    }
  }

  # Each account writes under its own name, so neither can put anything in place of the other's.
  dynamic "statement" {
    for_each = local.workloads

    content {
      sid       = "Write${title(statement.key)}"
      actions   = ["s3:PutObject"]
      resources = ["${local.bucket}/${statement.value.model_name}/${statement.key}/*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:aws:iam::${statement.value.account_id}:root"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:PrincipalArn"
        values   = [local.trainers[statement.key]]
      }
    }
  }
}

data "aws_iam_policy_document" "group" {
  statement {
    sid       = "ReadGroup"
    actions   = ["sagemaker:DescribeModelPackageGroup"]
    resources = [local.group]

    principals {
      type        = "AWS"
      identifiers = local.accounts
    }
  }

  statement {
    sid       = "ReadVersions"
    actions   = ["sagemaker:CreateModel", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
    resources = [local.versions]

    principals {
      type        = "AWS"
      identifiers = local.accounts
    }
  }

  # A version comes in waiting; only this account approves.
  statement {
    sid       = "RegisterVersions"
    actions   = ["sagemaker:CreateModelPackage"]
    resources = [local.versions]

    principals {
      type        = "AWS"
      identifiers = local.accounts
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:PrincipalArn"
      values   = values(local.trainers)
    }
    condition {
      test     = "StringEqualsIfExists"
      variable = "sagemaker:ModelApprovalStatus"
      values   = ["PendingManualApproval"]
    }
  }
}

# ----------------------------------------------------------------------------------------------------------------------
# What this account's roles may do
# ----------------------------------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "look" {
  statement {
    sid       = "Versions"
    actions   = ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:GetModelPackageGroupPolicy", "sagemaker:ListModelPackages", "sagemaker:ListTags"]
    resources = [local.group, local.versions]
  }

  statement {
    sid       = "Artifacts"
    actions   = ["s3:GetObject", "s3:ListBucket"]
    resources = [local.bucket, "${local.bucket}/*"]
  }

  statement {
    sid       = "OwnKey"
    actions   = ["kms:Decrypt", "kms:DescribeKey"]
    resources = [module.key.arn]
  }

  # Each workload's key encrypts what its account trained; its policy names this role.
  statement {
    sid       = "KeysOfTheWorkloads"
    actions   = ["kms:Decrypt", "kms:DescribeKey"]
    resources = [for name, workload in local.workloads : "arn:aws:kms:${local.here.aws_region}:${workload.account_id}:key/*"]
  }
}

data "aws_iam_policy_document" "approver" {
  source_policy_documents = [data.aws_iam_policy_document.look.json]

  statement {
    sid       = "Decide"
    actions   = ["sagemaker:UpdateModelPackage"]
    resources = [local.versions]
  }
}

# Comparing the account with this root's state takes a look at the rest of what the root makes.
data "aws_iam_policy_document" "checks" {
  statement {
    sid       = "Buckets"
    actions   = ["s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration"]
    resources = [local.bucket, "arn:aws:s3:::${local.here.terraform_state_bucket}"]
  }

  statement {
    sid       = "Roles"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = [local.here.approver_role, "arn:aws:iam::${local.here.account_id}:role/${local.here.jenkins_role}"]
  }
}
