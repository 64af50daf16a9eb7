/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names of the bus contract, for the daemon and its clients. */

#define VIVARIUM_BUS_NAME "org.vivarium.vm1"
#define VIVARIUM_MANAGER_PATH "/org/vivarium/vm1"
#define VIVARIUM_MANAGER_INTERFACE "org.vivarium.vm1.Manager"
#define VIVARIUM_VM_PATH_PREFIX "/org/vivarium/vm1/vm"
#define VIVARIUM_VM_INTERFACE "org.vivarium.vm1.Vm"

#define VIVARIUM_ERROR(name) "org.vivarium.vm1.Error." name
#define VIVARIUM_ERROR_INVALID_CONFIG VIVARIUM_ERROR("InvalidConfig")
#define VIVARIUM_ERROR_NO_SUCH_VM VIVARIUM_ERROR("NoSuchVm")
#define VIVARIUM_ERROR_ALREADY_STARTED VIVARIUM_ERROR("AlreadyStarted")
#define VIVARIUM_ERROR_NOT_RUNNING VIVARIUM_ERROR("NotRunning")
#define VIVARIUM_ERROR_QUOTA_EXCEEDED VIVARIUM_ERROR("QuotaExceeded")
#define VIVARIUM_ERROR_CID_EXHAUSTED VIVARIUM_ERROR("CidExhausted")
#define VIVARIUM_ERROR_UNSUPPORTED VIVARIUM_ERROR("Unsupported")
#define VIVARIUM_ERROR_START_FAILED VIVARIUM_ERROR("StartFailed")
#define VIVARIUM_ERROR_INVALID_TRANSITION VIVARIUM_ERROR("InvalidTransition")
#define VIVARIUM_ERROR_NAME_TAKEN VIVARIUM_ERROR("NameTaken")
#define VIVARIUM_ERROR_TIMEOUT VIVARIUM_ERROR("Timeout")
#define VIVARIUM_ERROR_NOT_SUSPENDED VIVARIUM_ERROR("NotSuspended")
#define VIVARIUM_ERROR_DEVICE_TAKEN VIVARIUM_ERROR("DeviceTaken")
#define VIVARIUM_ERROR_DRAINING VIVARIUM_ERROR("Draining")

#define VIVARIUM_LOG_CONTROL_PATH "/org/freedesktop/LogControl1"
#define VIVARIUM_LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"
