terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7"
    }
  }

  # Bucket, key, region and KMS key come from the environment file.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
