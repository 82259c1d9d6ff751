"""Plans, runs and remembers work, in this process or on Ray; the only package that imports Ray and MLflow."""
