"""The reference project: will a flight from New York arrive late, as known two hours before its departure?"""
