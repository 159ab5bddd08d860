"""What is kept in Redis: customers, streams, who stands where, catalogue changes. Translates its errors into ours."""
