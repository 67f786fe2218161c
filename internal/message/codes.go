package message

// One constant a line, with its entry in catalogue.toml. Ranges: PD1 agreement
// and cluster, PD2 lease and eviction, PD3 hierarchies, PD4 kits, PD5 comm
// paths, join and PKI, PD6 guardian and fencing, PD7 CLI and API, PD8 storage,
// PD9 lab and demo. A code is never given a second meaning.

const NoQuorum = "PD1001"
const NoLeader = "PD1002"
const CommandTimeout = "PD1003"
const NodeNameTaken = "PD1004"
const LastVoter = "PD1005"
const UnknownNode = "PD1006"
const LocalStateLost = "PD1007"
const VersionTooOld = "PD1008"
const TooManyVoters = "PD1009"
const NodeEvicted = "PD2001"
const LeaseLost = "PD2002"
const LeaseRegained = "PD2003"
const PromiseGiven = "PD2004"
const DetectionUnsafe = "PD2005"
const UnknownHierarchy = "PD3001"
const DependencyCycle = "PD3002"
const DuplicateAddress = "PD3003"
const UnknownKit = "PD3004"
const UnknownSetting = "PD3005"
const FailedEverywhere = "PD3006"
const SwitchoverProgress = "PD3007"
const TargetNotEligible = "PD3008"
const ResourceFailed = "PD3009"
const LocalRecovery = "PD3010"
const HierarchyStarted = "PD3011"
const HierarchyStopped = "PD3012"
const Failover = "PD3013"
