data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"] # Gives the role to the instance that has the profile, and knows no source condition
    }
  }
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109: In a key's policy the resource is the key itself.
  #checkov:skip=CKV_AWS_111: As above; the condition names the log group.
  #checkov:skip=CKV_AWS_356: As above; "*" in a key's policy means this key.
  statement {
    sid       = "Log"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${local.registry.aws_region}.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = [local.log_group]
    }
  }
}

data "aws_iam_policy_document" "controller" {
  statement {
    sid       = "Deploy"
    actions   = ["sts:AssumeRole"]
    resources = [for name, file in var.environments : "arn:aws:iam::${file.account_id}:role/${local.registry.jenkins_role}"]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local.log_group}:*"]
  }
}
