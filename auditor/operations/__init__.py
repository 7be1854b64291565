"""Operations: the projections, for administrators: where each is, building one again, trying what is parked."""
