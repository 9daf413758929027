# A customer-managed key, rotated every year, and its alias.

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109: In a key's policy the resource is the key itself; without its account's administration it could never be changed.
  #checkov:skip=CKV_AWS_111: As above; whoever else may use the key is named by the caller.
  #checkov:skip=CKV_AWS_356: As above; "*" in a key's policy means this key.
  source_policy_documents = var.policies

  statement {
    sid       = "Administration"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${var.account_id}:root"]
    }
  }
}

resource "aws_kms_key" "key" {
  description             = var.description
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "key" {
  name          = var.alias
  target_key_id = aws_kms_key.key.key_id
}
