package cli

const (
	defaultStateDir = `C:\ProgramData\Perdure\state`
	defaultRunDir   = `C:\ProgramData\Perdure\run`
)
