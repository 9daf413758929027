# What the module `alerts`, and the rules beside it, find in an account: the queue of dead letters, the key, and the rights to apply them.

locals {
  place            = "${var.aws_region}:${var.account_id}"
  dead_letters_arn = "arn:aws:sqs:${local.place}:${var.name}-dead-letters" # Known before: nothing waits for the queue
  rules            = ["arn:aws:events:${local.place}:rule/${var.name}-*", "arn:aws:events:${local.place}:rule/*/${var.name}-*"]
  roles            = ["arn:aws:iam::${var.account_id}:role/${var.name}-events-*", var.lambda_role]
}

# Names and ARNs, so the queue's own encryption will do, and nothing needs a right to a key. It belongs to the account, as
# the provider waits 25 s for a queue, and dead letters outlive a deployment.
resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600                                        # 14 days, the most there is
  policy                    = data.aws_iam_policy_document.dead_letters.json # Here, because the provider waits for a policy as long again
}

data "aws_iam_policy_document" "dead_letters" {
  statement {
    sid       = "OwnRules"
    actions   = ["sqs:SendMessage"]
    resources = [local.dead_letters_arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = local.rules
    }
  }
}

# The key of topic and log. It belongs to the account too: whoever deploys needs no right to make keys or to change one.
module "key" {
  source = "../key"

  account_id  = var.account_id
  alias       = "alias/${var.name}-alerts"
  description = "${var.name}: alerts and their log"
  policies    = [data.aws_iam_policy_document.key.json]
}

data "aws_iam_policy_document" "key" {
  statement {
    sid       = "RulesPublish"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = local.rules
    }
  }

  statement {
    sid       = "Log"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.aws_region}.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:${local.place}:log-group:/aws/lambda/${var.name}-notify"]
    }
  }
}

data "aws_iam_policy_document" "deployer" {
  #checkov:skip=CKV_AWS_356: "*" is for the two actions that know no resource: listing aliases and log groups.
  #checkov:skip=CKV_AWS_109: Policies of roles are what is deployed; the resources are named by the project's prefix.
  #checkov:skip=CKV_AWS_111: As above; without writing these nothing could be deployed at all.
  #checkov:skip=CKV_AWS_110: Roles are passed only to EventBridge and to Lambda, and only those of the project.

  statement {
    sid       = "State"
    actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"]
    resources = ["arn:aws:s3:::${var.state_bucket}", "arn:aws:s3:::${var.state_bucket}/*"]
  }

  # Not the state of the account itself; what was deployed stays
  statement {
    sid       = "Deployments"
    actions   = ["s3:PutObject"]
    resources = [for key in ["${var.root}.tfstate", "${var.root}.tfstate.tflock", "approvals/*", "deployments/*", "promotion.lock", "promotions/*"] : "arn:aws:s3:::${var.state_bucket}/${var.name}/${key}"]
  }

  statement {
    sid       = "Locks"
    actions   = ["s3:DeleteObject"]
    resources = [for key in ["${var.root}.tfstate.tflock", "promotion.lock"] : "arn:aws:s3:::${var.state_bucket}/${var.name}/${key}"]
  }

  statement {
    sid       = "Rules"
    actions   = ["events:DeleteRule", "events:DescribeEventBus", "events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource", "events:UntagResource"]
    resources = ["arn:aws:events:${local.place}:rule/*", "arn:aws:events:${local.place}:event-bus/*"]
  }

  statement {
    sid       = "Topic"
    actions   = ["sns:CreateTopic", "sns:DeleteTopic", "sns:GetSubscriptionAttributes", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource", "sns:SetSubscriptionAttributes", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:Unsubscribe", "sns:UntagResource"]
    resources = ["arn:aws:sns:${local.place}:${var.topic_name}", "arn:aws:sns:${local.place}:${var.topic_name}:*"]
  }

  statement {
    sid       = "DeadLetters"
    actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    resources = [local.dead_letters_arn]
  }

  statement {
    sid       = "Functions"
    actions   = ["lambda:AddPermission", "lambda:CreateFunction", "lambda:DeleteFunction", "lambda:DeleteFunctionConcurrency", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConcurrency", "lambda:GetFunctionConfiguration", "lambda:GetPolicy", "lambda:ListTags", "lambda:ListVersionsByFunction", "lambda:PutFunctionConcurrency", "lambda:RemovePermission", "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"]
    resources = ["arn:aws:lambda:${local.place}:function:${var.name}-*"]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy", "logs:DisassociateKmsKey", "logs:ListTagsForResource", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
    resources = ["arn:aws:logs:${local.place}:log-group:/aws/lambda/${var.name}-*"]
  }

  statement {
    sid       = "Listings"
    actions   = ["kms:ListAliases", "logs:DescribeLogGroups"]
    resources = ["*"]
  }

  statement {
    sid       = "Keys"
    actions   = ["kms:DescribeKey"]
    resources = ["arn:aws:kms:${local.place}:key/*"]
  }

  statement {
    sid       = "UseTheKey"
    actions   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*"]
    resources = [var.key_arn]
  }

  statement {
    sid       = "Roles"
    actions   = ["iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:PutRolePolicy", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"]
    resources = local.roles
  }

  dynamic "statement" {
    for_each = { events = local.roles[0], lambda = local.roles[1] }

    content {
      sid       = "Pass${title(statement.key)}Role"
      actions   = ["iam:PassRole"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["${statement.key}.amazonaws.com"]
      }
    }
  }
}
