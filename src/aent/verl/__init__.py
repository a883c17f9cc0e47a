"""verl (Ray, FSDP2 or Megatron, vLLM or SGLang) with entropy control: a plugin that verl finds by itself."""
