"""When a model is trained again, and why: facts, a pure decision, and the records that cooldown and budget stand on."""
