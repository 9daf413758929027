terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7"
    }
  }

  # The bucket is made by this root: see `mammo-mlops accounts apply`, which begins with a local state and moves it there.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
