"""Programs that run inside the sandbox. They import no module of this house."""
