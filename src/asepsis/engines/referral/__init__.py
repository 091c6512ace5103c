"""The rows of a referral: one hospital's own patients of a cohort, inside the runtime."""
