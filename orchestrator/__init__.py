"""Plans, runs and remembers work on Ray; the only package that imports Ray and MLflow."""
