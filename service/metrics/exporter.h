/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* All metrics of the daemon and of its living VMs as text, made when somebody asks and only then. */

#include "service/manager/manager.h"
#include "service/metrics/exposition.h"

/* Whether the reader may see @vm. */
typedef bool (*ExporterFilterFn)(void *userdata, const VmInfo *vm);

int exporter_write(const Manager *manager, ExpositionFormat format, ExporterFilterFn may_see,
                   void *userdata, char **ret);
