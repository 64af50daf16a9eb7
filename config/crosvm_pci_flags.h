/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The options about the PCI bus and the address map, for the flag table; and addresses of functions, for devices' keys. */

#include "config/kv_list.h"
#include "config/vmm_config.h"

int crosvm_pci_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_pci_emit(const VmmBoard *board, char **ret);
int crosvm_pci_start_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_pcie_ecam_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_mmio_ranges_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_mmio_ranges_emit(const VmmBoard *board, char **ret);
int crosvm_stub_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_stub_emit(const VmmStub *stub, char **ret);
int crosvm_pci_address_parse(const char *text, unsigned *ret_slot, TextError *reterr);
int crosvm_pci_address_set(const KvItem *item, unsigned *ret_slot, TextError *reterr);
void crosvm_pci_address_append(StrBuf *buf, unsigned slot);
